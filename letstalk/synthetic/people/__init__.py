"""Who is seen: the asset pack, identities, skin, hair and clothes, and the rig that moves them."""
