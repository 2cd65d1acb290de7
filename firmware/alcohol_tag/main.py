"""What the board runs after power on."""

import alcohol

alcohol.run()
