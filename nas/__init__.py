"""Skip-topology neural architecture search: which blocks of a network should be bypassed, how, and from where?"""
