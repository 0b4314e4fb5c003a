"""Many server processes over one store, killed and restarted while clients and people use them: nothing is won twice,
nothing that was acknowledged is lost.
"""
