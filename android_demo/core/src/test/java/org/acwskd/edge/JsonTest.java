package org.acwskd.edge;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

/** JSON as RFC 8259 has it, and nothing else. */
public class JsonTest {
    private static void refused(final String text, String... words) {
        new Refused(words) {
            @Override
            void attempt() throws EdgeException {
                Json.parse("x.json", text);
            }
        };
    }

    @Test
    public void valuesOfEveryKind() throws Exception {
        Json json = Json.parse("x.json", " {\"a\": [1, -2.5e1, 0], \"b\": {\"c\": \"\\u00e4\\n\\\"\\/é\"}, "
                + "\"n\": null,\"t\": true, \"f\": false, \"e\": [], \"o\": {}} ");
        assertArrayEquals(new double[] {1, -25, 0}, json.get("a").numbers(), 0);
        assertEquals("ä\n\"/é", json.get("b").get("c").string());
        assertEquals("[a, b, n, t, f, e, o]", json.keys().toString());
        assertFalse(json.has("n"));
        assertTrue(json.has("t"));
        assertEquals(0, json.get("e").list().size() + json.get("o").keys().size());
    }

    @Test
    public void everythingElseIsRefused() {
        refused("", "ends early");
        refused("{\"a\": 1", "ends early");
        refused("{\"a\": 1,}", "no '\"'");
        refused("[1,]", "no JSON value");
        refused("[1 2]", "no ','");
        refused("{\"a\": NaN}", "no JSON value", "character 6");
        refused("[01]", "no JSON value");
        refused("[1.]", "no JSON value");
        refused("[tru]", "no JSON value");
        refused("{\"a\": 1, \"a\": 2}", "twice");
        refused("\"\\x\"", "\\x");
        refused("\"\\u12\"", "hexadecimal");
        refused("\"a\nb\"", "control");
        refused("1 2", "more text");
        refused(new String(new char[100000]).replace('\0', '['), "nested");
    }

    @Test
    public void messagesSayWhere() {
        new Refused("x.json.a[1] is not a number") {
            @Override
            void attempt() throws EdgeException {
                Json.parse("x.json", "{\"a\": [1, \"2\"]}").get("a").numbers();
            }
        };
    }
}
