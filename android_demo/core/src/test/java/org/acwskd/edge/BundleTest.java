package org.acwskd.edge;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.Test;

/** The app's own bundle: sealed, complete, and a network that answers otherwise is found out. */
public class BundleTest {
    private final Files.Memory files;

    public BundleTest() throws Exception {
        files = new Files.Memory();
    }

    private void refused(String... words) {
        new Refused(words) {
            @Override
            void attempt() throws EdgeException {
                Bundle.open(files);
            }
        };
    }

    /** Answers with the golden logits, some of them spoilt. */
    private static Model golden(final Bundle bundle, final float error, final double share) throws EdgeException {
        final List<Bundle.Golden> golden = bundle.golden();
        return new Model() {
            @Override
            public float[] run(float[] input) throws EdgeException {
                for (Bundle.Golden one : golden) {
                    if (Arrays.equals(input, Preprocess.normalise(one.pixels, bundle.contract))) {
                        float[] logits = one.logits.clone();
                        for (int i = 0; i < logits.length * share; i++) {
                            logits[i] = -logits[i] + error;
                        }
                        for (int i = 0; share == 0 && i < logits.length; i++) {
                            logits[i] += error;
                        }
                        return logits;
                    }
                }
                throw new EdgeException("not the golden pixels");
            }
        };
    }

    private static boolean passes(Bundle bundle, String precision, Model model, boolean exact) throws EdgeException {
        for (Bundle.Artefact one : bundle.artefacts) {
            if (one.precision.equals(precision)) {
                return SelfTest.model(bundle.golden(), bundle.contract, one, model, exact).passed;
            }
        }
        throw new AssertionError("no " + precision);
    }

    @Test
    public void opensAndItsPreprocessingIsExact() throws Exception {
        Bundle bundle = Bundle.open(files);
        assertTrue(bundle.golden().size() >= 2);
        SelfTest.Check check = SelfTest.preprocessing(bundle.golden(), bundle.contract);
        assertTrue(check.detail, check.passed);
        for (Bundle.Artefact one : bundle.artefacts) {
            assertTrue(one.id, bundle.read(one.path).length > 1000);
        }
    }

    @Test
    public void aRightNetworkPassesAndAWrongOneFails() throws Exception {
        Bundle bundle = Bundle.open(files);
        assertTrue(passes(bundle, "fp32", golden(bundle, 0, 0), true));
        assertTrue(passes(bundle, "fp32", golden(bundle, 9e-4f, 0), true));
        assertFalse("logit error", passes(bundle, "fp32", golden(bundle, 2e-3f, 0), true));
        assertTrue("a GPU's fp32", passes(bundle, "fp32", golden(bundle, 2e-3f, 0), false));
        assertTrue("int8 is bound by agreement", passes(bundle, "int8", golden(bundle, 0.5f, 0), true));
        assertFalse("int8 of another network", passes(bundle, "int8", golden(bundle, 0, 0.5), true));
        assertFalse("NaN", passes(bundle, "fp32", golden(bundle, Float.NaN, 0), true));
        assertFalse("NaN on a GPU", passes(bundle, "fp16", golden(bundle, Float.NaN, 0), false));
        assertFalse("a single NaN", passes(bundle, "fp16", golden(bundle, Float.NaN, 1e-9), false));
    }

    @Test
    public void anotherShapeFails() throws Exception {
        Bundle bundle = Bundle.open(files);
        assertFalse(passes(bundle, "int8", new Model() {
            @Override
            public float[] run(float[] input) {
                return new float[7];
            }
        }, true));
    }

    @Test
    public void goldenImagesSegmentToTheirMasks() throws Exception {
        Bundle bundle = Bundle.open(files);
        for (Bundle.Golden one : bundle.golden()) {
            assertArrayEquals(one.mask, Segmentation.run(one.image, golden(bundle, 0, 0), bundle.contract).mask);
        }
    }

    @Test
    public void spoiltGoldenVectorsFail() throws Exception {
        Bundle bundle = Bundle.open(files);
        List<Bundle.Golden> golden = bundle.golden();
        golden.get(0).pixels[5]++;
        golden.get(1).mask[7]++;
        String detail = SelfTest.preprocessing(golden, bundle.contract).detail;
        assertTrue(detail, detail.contains(golden.get(0).name + " (pixels)"));
        assertTrue(detail, detail.contains(golden.get(1).name + " (mask)"));
        golden.clear();
        assertFalse(SelfTest.preprocessing(golden, bundle.contract).passed);
    }

    @Test
    public void aChangedFileIsRefused() throws Exception {
        String model = Bundle.open(files).artefacts.get(0).path;
        files.files.get(model)[100] ^= 1;
        refused(model + " was changed");
    }

    @Test
    public void aMissingFileIsRefused() {
        files.files.remove("report.json");
        refused("report.json is missing");
    }

    @Test
    public void anAddedFileIsRefused() {
        files.files.put("tflite/other.tflite", new byte[] {1});
        refused("tflite/other.tflite was added");
    }

    @Test
    public void aNewerManifestIsRefused() {
        files.edit("manifest.json", "\"schema\": 1", "\"schema\": 2");
        refused("schema 2", "update the app");
    }

    @Test
    public void anEditedContractIsRefused() {
        files.edit("contract.json", "\"schema\": 1", "\"schema\": 2");
        refused("contract.json was changed");
    }

    @Test
    public void noBundleIsRefusedWithTheNextCommand() {
        files.files.clear();
        refused("manifest.json", "python -m convert");
    }

    @Test
    public void aManifestThatIsNotJsonIsRefused() {
        files.files.put("manifest.json", new byte[] {'{'});
        refused("manifest.json is not JSON");
    }

    @Test
    public void nothingForThisAppIsRefused() {
        files.edit("manifest.json", "\"io\": \"tensor\"", "\"io\": \"raw\"");
        refused("no artefact", "--target tflite");
    }
}
