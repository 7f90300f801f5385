"""How fast the studio is: a real server, a real browser, many people. `anymask bench studio`."""
