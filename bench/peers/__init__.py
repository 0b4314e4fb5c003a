"""The bench beside other authorization servers that know clients by their documents."""
