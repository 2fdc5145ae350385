"""Everything that subclasses, patches or names a private of Faust, mode or aiokafka."""
