"""What the board runs after power on."""

import tag

tag.run()
