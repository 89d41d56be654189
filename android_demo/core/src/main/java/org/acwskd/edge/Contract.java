package org.acwskd.edge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** contract.json, schema 1: how to feed the network and read its output. Nothing of this is written in the app. */
public final class Contract {
    public static final int SCHEMA = 1;

    public final String name;
    public final String modality;
    public final String intendedUse;
    public final int height; // of the network's grid
    public final int width;
    public final int channels;
    public final boolean wide; // pixels are int16, else uint8
    public final boolean letterbox; // else stretch
    public final double low; // of the intensity window; also fills what letterboxing adds
    public final double high;
    public final double[] mean; // one per channel
    public final double[] std;
    public final List<Label> labels; // ids 0..K-1 in order

    /** One class: its place in the list is its value in a mask. */
    public static final class Label {
        public final String name;
        public final int color; // 0xRRGGBB

        Label(String name, int color) {
            this.name = name;
            this.color = color;
        }
    }

    /**
     * Reads the file's text.
     *
     * @throws EdgeException another schema, a missing key or a value that is not allowed
     */
    public static Contract parse(String text) throws EdgeException {
        return new Contract(Json.parse("contract.json", text));
    }

    private Contract(Json json) throws EdgeException {
        checkSchema(json, "contract.json", SCHEMA);
        Json input = json.get("input");
        Json intensity = json.get("intensity");
        name = json.get("name").string();
        modality = json.get("modality").string();
        intendedUse = json.get("intended_use").string();
        height = input.get("height").integer();
        width = input.get("width").integer();
        channels = input.get("channels").integer();
        wide = "int16".equals(oneOf(input.get("pixel"), "input.pixel", "uint8", "int16"));
        letterbox = "letterbox".equals(oneOf(json.get("resize").get("mode"), "resize.mode", "letterbox", "stretch"));
        low = intensity.get("low").number();
        high = intensity.get("high").number();
        mean = intensity.get("mean").numbers();
        std = intensity.get("std").numbers();
        labels = readLabels(json.get("labels").list());
        check(Math.min(Math.min(height, width), channels) >= 1 && (long) height * width <= 1 << 24,
                "input " + height + "x" + width + "x" + channels + "; allowed: 1 to 16777216 pixels");
        check(channels == 1 || channels == 3, "input.channels " + channels + "; allowed: 1, 3");
        check(low < high, "intensity [" + low + ", " + high + "]; allowed: low < high");
        check(mean.length == channels && std.length == channels, "intensity: one mean and one std per channel");
        for (double value : std) {
            check(value > 0, "intensity.std " + Arrays.toString(std) + "; allowed: positive numbers");
        }
    }

    /** Refuses what another release of acwskd-edge wrote. */
    static void checkSchema(Json json, String file, int schema) throws EdgeException {
        double found = json.get("schema").number();
        if (found != schema) {
            throw new EdgeException(file + " has schema " + (found == Math.rint(found) ? "" + (long) found : found)
                    + "; this app reads schema " + schema + ": update the app, or convert with its release");
        }
    }

    private static List<Label> readLabels(List<Json> entries) throws EdgeException {
        check(entries.size() >= 2 && entries.size() <= 256, entries.size() + " labels; allowed: 2 to 256");
        List<Label> labels = new ArrayList<Label>();
        for (Json entry : entries) {
            check(entry.get("id").integer() == labels.size(), "label ids; allowed: 0, 1, 2 ... in order");
            List<Json> parts = entry.get("color").list();
            check(parts.size() == 3, "labels.color; allowed: red, green, blue");
            int color = 0;
            for (Json part : parts) {
                check(part.integer() >= 0 && part.integer() <= 255, "labels.color; allowed: 0 to 255");
                color = color << 8 | part.integer();
            }
            labels.add(new Label(entry.get("name").string(), color));
        }
        return Collections.unmodifiableList(labels);
    }

    private static String oneOf(Json value, String key, String... allowed) throws EdgeException {
        check(Arrays.asList(allowed).contains(value.string()),
                key + " \"" + value.string() + "\"; allowed: " + Arrays.toString(allowed));
        return value.string();
    }

    private static void check(boolean right, String message) throws EdgeException {
        if (!right) {
            throw new EdgeException("contract.json: " + message);
        }
    }

    /** Number of classes with background. */
    public int classes() {
        return labels.size();
    }

    /** Values of one picture on the network's grid. */
    public int pixels() {
        return height * width;
    }
}
