package org.acwskd.edge;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An array of a .npy file, version 1, in C order; any real dtype but half floats. */
public final class Npy {
    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    private static final Pattern DESCR = Pattern.compile("'descr':\\s*'([^']*)'");
    private static final Pattern ORDER = Pattern.compile("'fortran_order':\\s*False");
    private static final Pattern SHAPE = Pattern.compile("'shape':\\s*\\(([0-9, ]*)\\)");

    public final int[] shape;
    public final int size; // product of the shape
    private final String type; // numpy's: |u1, <i2, <f4 ...
    private final ByteBuffer values;

    private Npy(int[] shape, int size, String type, ByteBuffer values) {
        this.shape = shape;
        this.size = size;
        this.type = type;
        this.values = values;
    }

    /**
     * Reads a file's bytes.
     *
     * @throws EdgeException not such a file; names it
     */
    public static Npy parse(String name, byte[] bytes) throws EdgeException {
        if (bytes.length < 10 || !Arrays.equals(Arrays.copyOf(bytes, 8), MAGIC)) {
            throw new EdgeException(name + " is not a .npy file of version 1");
        }
        ByteBuffer all = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int start = 10 + (all.getShort(8) & 0xffff);
        if (start > bytes.length) {
            throw new EdgeException(name + " ends in its header");
        }
        String header = new String(bytes, 10, start - 10, Charset.forName("ISO-8859-1"));
        Matcher descr = DESCR.matcher(header);
        Matcher sides = SHAPE.matcher(header);
        if (!descr.find() || !sides.find() || !ORDER.matcher(header).find()) {
            throw new EdgeException(name + " has the header " + header.trim() + "; allowed: C order");
        }
        int[] shape = shape(sides.group(1));
        long size = 1;
        for (int side : shape) {
            size = Math.min(size * side, Integer.MAX_VALUE);
        }
        int width = width(name, descr.group(1));
        if (size * width != bytes.length - start) {
            throw new EdgeException(name + " has " + (bytes.length - start) + " bytes for the shape "
                    + Arrays.toString(shape) + " of " + descr.group(1));
        }
        ByteBuffer values = ByteBuffer.wrap(bytes, start, bytes.length - start).slice();
        return new Npy(shape, (int) size, descr.group(1), values.order(ByteOrder.LITTLE_ENDIAN));
    }

    private static int[] shape(String text) {
        String trimmed = text.trim();
        if (trimmed.isEmpty()) {
            return new int[0];
        }
        String[] parts = trimmed.split("\\s*,\\s*"); // the comma after a single side leaves no empty part
        int[] shape = new int[parts.length];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = parts[i].length() > 9 ? Integer.MAX_VALUE : Integer.parseInt(parts[i]);
        }
        return shape;
    }

    private static int width(String name, String type) throws EdgeException {
        String known = "|b1 |u1 |i1 <u2 <i2 <u4 <i4 <i8 <f4 <f8";
        if (type.length() != 3 || !known.contains(type)) {
            throw new EdgeException(name + " has values of " + type + "; allowed: " + known);
        }
        return type.charAt(2) - '0';
    }

    /** The value at a flat index, C order. */
    public double at(int index) {
        switch (type) {
            case "|b1":
            case "|u1":
                return values.get(index) & 0xff;
            case "|i1":
                return values.get(index);
            case "<u2":
                return values.getShort(2 * index) & 0xffff;
            case "<i2":
                return values.getShort(2 * index);
            case "<u4":
                return values.getInt(4 * index) & 0xffffffffL;
            case "<i4":
                return values.getInt(4 * index);
            case "<i8":
                return values.getLong(8 * index);
            case "<f4":
                return values.getFloat(4 * index);
            default:
                return values.getDouble(8 * index);
        }
    }

    /** All values, rounded to float32. */
    public float[] floats() {
        float[] result = new float[size];
        for (int i = 0; i < size; i++) {
            result[i] = (float) at(i);
        }
        return result;
    }

    /** All values as whole numbers of 16 bits: pixels of a contract, labels of a mask. */
    public short[] shorts() {
        short[] result = new short[size];
        for (int i = 0; i < size; i++) {
            result[i] = (short) at(i);
        }
        return result;
    }

    /** All values as bytes: label ids, colours. */
    public byte[] bytes() {
        byte[] result = new byte[size];
        for (int i = 0; i < size; i++) {
            result[i] = (byte) (int) at(i);
        }
        return result;
    }

    /** Refuses another shape; -1 stands for any side. */
    public Npy expect(String name, int... wanted) throws EdgeException {
        boolean same = wanted.length == shape.length;
        for (int i = 0; same && i < wanted.length; i++) {
            same = wanted[i] == shape[i] || wanted[i] == -1;
        }
        if (!same) {
            throw new EdgeException(name + " has the shape " + Arrays.toString(shape) + "; allowed: "
                    + Arrays.toString(wanted));
        }
        return this;
    }
}
