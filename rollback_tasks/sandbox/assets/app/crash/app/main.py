import os

# The region was meant to come with the next change of the compose file.
REGION = os.environ["PILE_REGION"]
