"""in progress"""

requirement = 'x'


def available():
    return False
