package org.acwskd.edge;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.junit.runners.Parameterized;

/** Every step equals the Python library on every vector: to the bit where integers come out, else to 1e-6. */
@RunWith(Parameterized.class)
public class VectorsTest {
    private final File vector;
    private final Contract contract;
    private final Image image;

    @Parameterized.Parameters(name = "{0}")
    public static Collection<Object[]> vectors() {
        List<Object[]> result = new ArrayList<Object[]>();
        for (File one : Files.vectors()) {
            result.add(new Object[] {one.getName(), one});
        }
        assertTrue("at least 8 vectors", result.size() >= 8);
        return result;
    }

    public VectorsTest(String name, File vector) throws Exception {
        this.vector = vector;
        contract = Files.contract(vector);
        image = Image.of(Files.array(vector, "image"), contract);
    }

    @Test
    public void pixelsAreExact() throws Exception {
        assertArrayEquals(Files.array(vector, "pixels").shorts(), Preprocess.toGrid(image, contract));
    }

    @Test
    public void inputIsWithinOneMillionth() throws Exception {
        short[] pixels = Files.array(vector, "pixels").shorts();
        assertArrayEquals(Files.array(vector, "input").floats(), Preprocess.normalise(pixels, contract), 1e-6f);
    }

    @Test
    public void maskIsExact() throws Exception {
        byte[] grid = Postprocess.argmax(logits(), contract.classes());
        byte[] mask = Postprocess.toImage(grid, contract, image.height, image.width);
        assertArrayEquals(Files.array(vector, "mask").bytes(), mask);
    }

    @Test
    public void probabilityIsWithinOneMillionth() throws Exception {
        float[] wanted = Files.array(vector, "probability").floats();
        float[] found = Postprocess.softmax(logits(), contract.classes());
        assertArrayEquals(Postprocess.channelsLast(wanted, contract.classes()), found, 1e-6f);
    }

    @Test
    public void tintIsExact() throws Exception {
        Npy wanted = Files.array(vector, "tint").expect("tint", image.height, image.width, 3);
        Drawing drawing = new Drawing(image, Files.array(vector, "mask").bytes(), contract, 1);
        int[] row = new int[image.width];
        for (int y = 0; y < image.height; y++) {
            drawing.row(y, Drawing.OPACITY, row);
            for (int x = 0; x < image.width; x++) {
                int at = (y * image.width + x) * 3;
                int color = (int) wanted.at(at) << 16 | (int) wanted.at(at + 1) << 8 | (int) wanted.at(at + 2);
                assertEquals("row " + y + ", column " + x, 0xff000000 | color, row[x]);
            }
        }
    }

    @Test
    public void aCoarserDrawingHasEveryThirdPixel() throws Exception {
        byte[] mask = Files.array(vector, "mask").bytes();
        Drawing coarse = new Drawing(image, mask, contract, 3);
        Drawing fine = new Drawing(image, mask, contract, 1);
        assertEquals((image.height + 2) / 3, coarse.height);
        int[] few = new int[coarse.width];
        int[] all = new int[fine.width];
        for (int y = 0; y < coarse.height; y++) {
            coarse.row(y, 0.3, few);
            fine.row(3 * y, 0.3, all);
            for (int x = 0; x < few.length; x++) {
                assertEquals(all[3 * x], few[x]);
            }
        }
    }

    @Test
    public void areasAndConfidenceFollowFromTheMask() throws Exception {
        final float[] logits = logits();
        Segmentation result = Segmentation.run(image, new Model() {
            @Override
            public float[] run(float[] input) {
                return logits;
            }
        }, contract);
        assertArrayEquals(Files.array(vector, "mask").bytes(), result.mask);
        int total = 0;
        for (int k = 0; k < contract.classes(); k++) {
            total += result.areas[k];
            boolean most = result.confidence[k] > 1.0 / contract.classes() && result.confidence[k] <= 1;
            assertTrue("class " + k, most || Double.isNaN(result.confidence[k]));
        }
        assertEquals(image.height * image.width, total);
    }

    private float[] logits() throws Exception {
        return Postprocess.channelsLast(Files.array(vector, "logits").floats(), contract.classes());
    }
}
