package org.acwskd.edge;

import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

/** Something that must be refused with a message for people. */
abstract class Refused {
    abstract void attempt() throws EdgeException;

    /** The message has these words. */
    Refused(String... words) {
        try {
            attempt();
        } catch (EdgeException error) {
            for (String word : words) {
                assertTrue(error.getMessage() + " has no " + word, error.getMessage().contains(word));
            }
            return;
        }
        fail("not refused");
    }
}
