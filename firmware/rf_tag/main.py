"""What the board runs after power on."""

import beacon_tag

beacon_tag.run()
