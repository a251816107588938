"""Flow matching: guidance, schedulers, the one sampling loop, and what training draws.

One time direction everywhere, that of diffusers: s in 0..1, where 1 is noise and 0 is data;
    x_s = (1 - s) x0 + s eps,    v = dx/ds = eps - x0,    the network is told timestep = 1000 s.
Nothing here knows a network: a velocity is a callable.
"""

NUM_TIMESTEPS = 1000  # the network is told NUM_TIMESTEPS * s
