package org.acwskd.edge;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.util.Arrays;
import org.junit.Test;

/** Pictures become the contract's images; the wrong ones are refused. */
public class ImageTest {
    private static Contract contract(String vector) throws Exception {
        return Files.contract(new File(Files.vectors().get(0).getParentFile(), vector));
    }

    /** A picture in an array. */
    static Pixels picture(final int width, final int... values) {
        return new Pixels() {
            @Override
            public int width() {
                return width;
            }

            @Override
            public int height() {
                return values.length / width;
            }

            @Override
            public void read(int x, int y, int columns, int rows, int[] into) {
                for (int i = 0; i < rows * columns; i++) {
                    into[i] = values[(y + i / columns) * width + x + i % columns];
                }
            }
        };
    }

    private static int[] upright(int orientation) {
        Upright picture = new Upright(picture(3, 1, 2, 3, 4, 5, 6), orientation);
        int[] result = new int[6];
        int[] row = new int[picture.width];
        for (int y = 0; y < picture.height; y++) {
            picture.row(y, row);
            System.arraycopy(row, 0, result, y * picture.width, picture.width);
        }
        return result;
    }

    @Test
    public void exifOrientations() {
        assertArrayEquals(new int[] {1, 2, 3, 4, 5, 6}, upright(1));
        assertArrayEquals(new int[] {3, 2, 1, 6, 5, 4}, upright(2));
        assertArrayEquals(new int[] {6, 5, 4, 3, 2, 1}, upright(3));
        assertArrayEquals(new int[] {4, 5, 6, 1, 2, 3}, upright(4));
        assertArrayEquals(new int[] {1, 4, 2, 5, 3, 6}, upright(5));
        assertArrayEquals(new int[] {4, 1, 5, 2, 6, 3}, upright(6));
        assertArrayEquals(new int[] {6, 3, 5, 2, 4, 1}, upright(7));
        assertArrayEquals(new int[] {3, 6, 2, 5, 1, 4}, upright(8));
        assertArrayEquals(upright(1), upright(0));
    }

    @Test
    public void aColourPictureGivesItsValuesWithoutAlpha() throws Exception {
        Image image = Image.of(new Upright(picture(1, 0x00102030), 1), contract("rgb-stretch"));
        double[] row = new double[3];
        image.row(0, row);
        assertArrayEquals(new double[] {16, 32, 48}, row, 0);
    }

    @Test
    public void aPictureForOneChannelIsGreyByWholeNumbers() throws Exception {
        double[] row = new double[3];
        Image.of(new Upright(picture(3, 0xff0000, 0x00ff00, 0x0000ff), 1), contract("mr-uint8")).row(0, row);
        assertArrayEquals(new double[] {76, 150, 29}, row, 0);
        for (int level = 0; level < 256; level++) {
            assertEquals(level, Image.luma(level, level, level));
        }
    }

    @Test
    public void aPictureForHuIsAScreenshotOfTheWindow() throws Exception {
        double[] row = new double[3];
        Image.of(new Upright(picture(3, 0, 0x808080, 0xffffff), 1), contract("ct-stretch")).row(0, row);
        assertArrayEquals(new double[] {-160, -160 + 128 / 255.0 * 400, 240}, row, 0);
    }

    @Test
    public void anotherNumberOfChannelsIsRefused() throws Exception {
        File colour = new File(Files.vectors().get(0).getParentFile(), "rgb-stretch");
        final Npy array = Files.array(colour, "image");
        final Contract grey = contract("mr-uint8");
        new Refused("3 channel(s)", "with 1 channel(s)") {
            @Override
            void attempt() throws EdgeException {
                Image.of(array, grey);
            }
        };
    }

    @Test
    public void notANumberIsRefused() throws Exception {
        byte[] bytes = Files.bytes(new File(Files.vectors().get(0).getParentFile(), "rgb-float32/image.npy"));
        bytes[bytes.length - 1] = 0x7f;
        bytes[bytes.length - 2] = (byte) 0xc0;
        final Contract contract = contract("rgb-float32");
        final Image image = Image.of(Npy.parse("x", bytes), contract);
        new Refused("NaN or infinite") {
            @Override
            void attempt() throws EdgeException {
                Preprocess.toGrid(image, contract);
            }
        };
    }

    @Test
    public void aPhotoOfTwelveMegapixelsIsReadByRows() throws Exception {
        Pixels photo = new Pixels() {
            @Override
            public int width() {
                return 4000;
            }

            @Override
            public int height() {
                return 3000;
            }

            @Override
            public void read(int x, int y, int columns, int rows, int[] into) {
                assertEquals("by columns, for orientation 6", 1, columns);
                Arrays.fill(into, 0, rows, 0x646464);
            }
        };
        Contract contract = contract("mr-uint8");
        short[] grid = Preprocess.toGrid(Image.of(new Upright(photo, 6), contract), contract);
        assertEquals(100, grid[contract.width * 16 + 24]);
        assertEquals("letterbox", 0, grid[contract.width * 16]);
    }

    private static void refusedFile(final byte[] first, String... words) {
        new Refused(words) {
            @Override
            void attempt() throws EdgeException {
                PictureFile.checkHeader(first, first.length);
            }
        };
    }

    private static void refusedSize(final int width, final int height, String... words) {
        new Refused(words) {
            @Override
            void attempt() throws EdgeException {
                PictureFile.checkSize(width, height);
            }
        };
    }

    @Test
    public void filesThatAreNoPicturesOfEightBitsAreRefused() throws Exception {
        byte[] png = new byte[PictureFile.HEADER];
        System.arraycopy(new byte[] {(byte) 0x89, 'P', 'N', 'G'}, 0, png, 0, 4);
        png[24] = 8;
        assertTrue(PictureFile.checkHeader(png, png.length));
        assertFalse(PictureFile.checkHeader(new byte[] {(byte) 0xff, (byte) 0xd8, (byte) 0xff, 0}, 4));
        png[24] = 16;
        refusedFile(png, "16 bits per channel", "allowed: 8");
        refusedFile(Arrays.copyOf(png, 10), "PNG or JPEG");
        refusedFile(new byte[0], "PNG or JPEG");
        refusedFile("GIF89a, and so on, and so on".getBytes("UTF-8"), "PNG or JPEG");
    }

    @Test
    public void aHugePictureIsRefused() throws Exception {
        PictureFile.checkSize(4000, 3000);
        PictureFile.checkSize(8192, 1);
        refusedSize(8193, 1, "8193 x 1", "8192 a side");
        refusedSize(8000, 8000, "25 million");
        refusedSize(Integer.MAX_VALUE, Integer.MAX_VALUE, "25 million");
        refusedSize(0, 5, "0 x 5");
    }
}
