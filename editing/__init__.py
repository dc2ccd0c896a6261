"""An edit of an object at a copying backend, from form to undo. Other apps register what is edited (targets.py).

form     terms, widgets, fields, inputs, problems, forms; removal, form_pages    a document as inputs, and what is sent
change   models, scopes, proposals; merging, differences, secrets                what is proposed, and what it says
review   dangers, immediate, limits, what_if, views                              what saving it would do
save     backend, saving, evidence, tasks; listing                               sent once, settled, listed

Documents stay the backend's own: what the table of fields does not know is never touched.
"""
