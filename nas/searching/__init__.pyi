from .driver import search as search
