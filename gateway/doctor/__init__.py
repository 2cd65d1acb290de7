"""`tagwatch doctor`: is this gateway as it should be, and where it is not, what is to be done?

``gathering`` looks, with `gateway.box` at the machine, and changes nothing; ``facts`` is what it finds. ``conclusions``
has every check look at that: those of the ``machine``, of what ``trust`` rests on, of what is ``running``, of
``keeping`` what is received, and of the ``people`` who are told. The checks look nowhere themselves.
"""
