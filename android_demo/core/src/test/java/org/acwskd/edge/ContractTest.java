package org.acwskd.edge;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.util.regex.Pattern;
import org.junit.Test;

/** A contract is read whole or refused with what is allowed. */
public class ContractTest {
    private final String text;

    public ContractTest() throws Exception {
        text = Files.text(new File(Files.vectors().get(0).getParentFile(), "rgb-odd-sizes/contract.json"));
    }

    private void refused(String old, String replacement, final String... words) throws Exception {
        assertTrue(text, text.contains(old));
        final String edited = text.replaceFirst(Pattern.quote(old), replacement);
        new Refused(words) {
            @Override
            void attempt() throws EdgeException {
                Contract.parse(edited);
            }
        };
    }

    @Test
    public void everyFieldComesFromTheFile() throws Exception {
        Contract contract = Contract.parse(text);
        assertEquals("rgb-odd-sizes", contract.name);
        assertEquals("tests of ports", contract.intendedUse);
        assertEquals(32, contract.height);
        assertEquals(48, contract.width);
        assertEquals(3, contract.channels);
        assertArrayEquals(new double[] {123.7, 116.3, 103.5}, contract.mean, 0);
        assertEquals(6, contract.classes());
        assertEquals("class 1", contract.labels.get(1).name);
        assertEquals(220 << 16 | 40 << 8 | 40, contract.labels.get(1).color);
        assertTrue(contract.letterbox);
        assertTrue(!contract.wide);
    }

    @Test
    public void anotherSchemaIsRefused() throws Exception {
        refused("\"schema\": 1", "\"schema\": 2", "schema 2", "reads schema 1", "update the app");
        refused("\"schema\": 1", "\"schema\": 1.5", "schema 1.5");
        refused("\"schema\": 1", "\"schema\": \"1\"", "schema", "not a number");
        refused("\"schema\": 1", "\"other\": 1", "no \"schema\"");
    }

    @Test
    public void valuesThatAreNotAllowedAreRefused() throws Exception {
        refused("\"uint8\"", "\"float32\"", "float32", "uint8, int16");
        refused("\"letterbox\"", "\"crop\"", "crop", "letterbox, stretch");
        refused("\"height\": 32", "\"height\": 0", "0x48");
        refused("\"height\": 32", "\"height\": 3.5", "whole number");
        refused("\"height\": 32", "\"height\": null", "height", "not a number");
        refused("\"channels\": 3", "\"channels\": 2", "channels 2");
        refused("\"low\": 0.0", "\"low\": 255.0", "low < high");
        refused("58.4", "0", "positive");
        refused("58.4,", "", "one std per channel");
        refused("\"id\": 1", "\"id\": 2", "in order");
        refused("220", "256", "0 to 255");
    }
}
