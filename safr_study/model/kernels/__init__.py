"""Fast forms of the model's functions, and the switch between them and the textbook forms.

Each function here has its equation and its plain form in the module of the same subject in
`safr_study.model`; tests hold the two equal, in values and in gradients.
"""

FAST = True
"""Whether the fast forms are used; the plain forms alone are several times slower."""
