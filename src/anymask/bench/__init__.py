"""How fast the studio is: a real server, a real browser, and many simulated people. `anymask bench studio`."""
