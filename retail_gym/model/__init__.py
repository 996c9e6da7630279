"""The paper's equations as pure NumPy functions: no random numbers, no state, no classes.

Index suffixes mirror the paper: ``u`` customer, ``j`` category, ``i`` product. Products are
ordered by category, so a category is a run of neighbouring products. The index from equation to
function is ``model/README.md``; the order in which a week uses them is
:mod:`retail_gym.model.week`.
"""
