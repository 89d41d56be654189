package org.acwskd.edge;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import org.junit.Test;

/** Arrays as numpy writes them; a file that lies about itself is refused before it is read. */
public class NpyTest {
    private static byte[] npy(String type, String order, String shape, int... values) throws Exception {
        byte[] header = ("{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n")
                .getBytes("ISO-8859-1");
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        file.write(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (byte) header.length, 0});
        file.write(header);
        for (int value : values) {
            file.write(value);
        }
        return file.toByteArray();
    }

    private static void refused(final byte[] bytes, String... words) {
        new Refused(words) {
            @Override
            void attempt() throws EdgeException {
                Npy.parse("x.npy", bytes);
            }
        };
    }

    @Test
    public void everyRealType() throws Exception {
        assertEquals(255, Npy.parse("x", npy("|u1", "False", "(1,)", 255)).at(0), 0);
        assertEquals(-1, Npy.parse("x", npy("|i1", "False", "(1,)", 255)).at(0), 0);
        assertEquals(65535, Npy.parse("x", npy("<u2", "False", "(1,)", 255, 255)).at(0), 0);
        assertEquals(-2, Npy.parse("x", npy("<i2", "False", "(1,)", 254, 255)).at(0), 0);
        assertEquals(4294967295.0, Npy.parse("x", npy("<u4", "False", "()", 255, 255, 255, 255)).at(0), 0);
        assertEquals(-1, Npy.parse("x", npy("<i4", "False", "()", 255, 255, 255, 255)).at(0), 0);
        assertEquals(-1, Npy.parse("x", npy("<i8", "False", "()", 255, 255, 255, 255, 255, 255, 255, 255)).at(0), 0);
        assertEquals(-2, Npy.parse("x", npy("<f4", "False", "()", 0, 0, 0, 0xc0)).at(0), 0);
        assertEquals(-2, Npy.parse("x", npy("<f8", "False", "()", 0, 0, 0, 0, 0, 0, 0, 0xc0)).at(0), 0);
    }

    @Test
    public void shapesOfAnyDimension() throws Exception {
        Npy array = Npy.parse("x", npy("|u1", "False", "(2, 1, 2)", 1, 2, 3, 4));
        assertArrayEquals(new int[] {2, 1, 2}, array.shape);
        assertArrayEquals(new byte[] {1, 2, 3, 4}, array.bytes());
        assertEquals(0, Npy.parse("x", npy("|u1", "False", "(0, 5)")).size);
    }

    @Test
    public void whatIsNotSuchAnArrayIsRefused() throws Exception {
        refused(new byte[0], "not a .npy");
        refused("a picture, say".getBytes("UTF-8"), "not a .npy");
        refused(Arrays.copyOf(npy("|u1", "False", "(1,)"), 30), "ends in its header");
        refused(npy("|u1", "False", "(2,)", 1), "1 bytes", "[2]");
        refused(npy("|u1", "False", "(999999999, 999999999, 9999999999999)", 1), "bytes for the shape");
        refused(npy("|u1", "True", "(1,)", 1), "C order");
        refused(npy("|O", "False", "(1,)", 1), "|O", "allowed");
        refused(npy(">i2", "False", "(1,)", 1, 2), ">i2");
        refused(npy("<c8", "False", "(1,)", 1, 2, 3, 4, 5, 6, 7, 8), "<c8");
    }
}
