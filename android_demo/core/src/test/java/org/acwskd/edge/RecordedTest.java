package org.acwskd.edge;

import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeNotNull;

import java.io.File;
import java.io.IOException;
import java.util.Arrays;
import org.junit.Test;

/** The app's artefacts on the golden pixels, as LiteRT answered in Python: the self-test must let the right ones pass. */
public class RecordedTest {
    private static Model recorded(final Bundle bundle, final File folder) {
        return new Model() {
            @Override
            public float[] run(float[] input) throws EdgeException {
                for (Bundle.Golden one : bundle.golden()) {
                    if (Arrays.equals(input, Preprocess.normalise(one.pixels, bundle.contract))) {
                        return read(one.name);
                    }
                }
                throw new EdgeException("not the golden pixels");
            }

            private float[] read(String name) throws EdgeException {
                try {
                    return Npy.parse(name, Files.bytes(new File(folder, name + ".npy"))).floats();
                } catch (IOException error) {
                    throw new EdgeException(name, error);
                }
            }
        };
    }

    @Test
    public void everyArtefactPasses() throws Exception {
        assumeNotNull(System.getProperty("acwskd.recorded"));
        File folder = Files.folder("acwskd.recorded", "python -m pytest tests/demos/test_android.py");
        Bundle bundle = Bundle.open(new Files.Memory());
        for (Bundle.Artefact one : bundle.artefacts) {
            Model model = recorded(bundle, new File(folder, one.id));
            SelfTest.Check check = SelfTest.model(bundle.golden(), bundle.contract, one, model, true);
            assertTrue(one.id + ": " + check.detail, check.passed);
        }
    }

    @Test
    public void anotherArtefactsAnswersDoNotPassAsFp32() throws Exception {
        assumeNotNull(System.getProperty("acwskd.recorded"));
        File folder = Files.folder("acwskd.recorded", "python -m pytest tests/demos/test_android.py");
        Bundle bundle = Bundle.open(new Files.Memory());
        Model int8 = recorded(bundle, new File(folder, "tflite-int8"));
        for (Bundle.Artefact one : bundle.artefacts) {
            if (one.precision.equals("fp32")) {
                SelfTest.Check check = SelfTest.model(bundle.golden(), bundle.contract, one, int8, true);
                assertTrue(check.detail, !check.passed && check.detail.startsWith("runtime differs"));
            }
        }
    }
}
