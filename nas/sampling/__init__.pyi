from .sampler import TopologySampler as TopologySampler
