"""How sure a number is: intervals over seeds and examples, the chance of a place on the front.

No torch here: what ranks and reports a study starts without it.
"""
