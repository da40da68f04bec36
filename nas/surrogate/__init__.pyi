from .process import GaussianProcess as GaussianProcess
