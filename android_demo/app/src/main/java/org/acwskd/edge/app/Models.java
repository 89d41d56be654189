package org.acwskd.edge.app;

import android.content.Context;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.acwskd.edge.Bundle;
import org.acwskd.edge.EdgeException;
import org.acwskd.edge.Model;
import org.acwskd.edge.SelfTest;

/** The one model that is loaded, and the verdicts on all that were; what failed its self-test is never handed out. */
final class Models {
    private final Context context;
    private final Bundle bundle;
    private final List<Bundle.Golden> golden;
    private final Crashes crashes;
    private final Map<String, String> verdicts = new LinkedHashMap<String, String>(); // by artefact on device
    private final Map<String, String> failures = new LinkedHashMap<String, String>(); // those that answered wrongly
    private LiteRtModel model; // null where it must not run

    Models(Context context, Bundle bundle, List<Bundle.Golden> golden) {
        this.context = context;
        this.bundle = bundle;
        this.golden = golden;
        crashes = new Crashes(context);
    }

    /**
     * The model that was loaded last.
     *
     * @throws EdgeException it cannot run, or failed its self-test
     */
    Model current() throws EdgeException {
        if (model == null) {
            throw new EdgeException(context.getString(R.string.refused));
        }
        return model;
    }

    /**
     * Loads an artefact and lets it prove itself on the golden vectors.
     *
     * @param wanted by the user, who may try again what once ended the app
     */
    void load(Bundle.Artefact artefact, Device device, boolean wanted) {
        close();
        String title = context.getString(R.string.on_device, artefact.id, context.getString(device.title));
        failures.remove(title);
        try {
            if (!wanted && device.delegate != null && crashes.ended(device)) {
                throw new EdgeException(context.getString(R.string.ended_app));
            }
            crashes.trying(device);
            model = LiteRtModel.open(bundle.read(artefact.path), device, bundle.contract);
            SelfTest.Check check = SelfTest.model(golden, bundle.contract, artefact, model, device.exact());
            if (check.passed) {
                verdicts.put(title, context.getString(R.string.passed, check.detail));
            } else {
                fail(title, check.detail);
            }
            crashes.survived(device);
        } catch (EdgeException error) {
            close();
            if (device.exact()) { // a phone may have no GPU; a CPU it has
                fail(title, error.getMessage());
            } else {
                verdicts.put(title, context.getString(R.string.absent, error.getMessage()));
            }
        }
    }

    private void fail(String title, String detail) {
        close();
        verdicts.put(title, context.getString(R.string.failed, detail));
        failures.put(title, detail);
    }

    private void close() {
        if (model != null) {
            model.close();
            model = null;
        }
    }

    /** All verdicts, a line each. */
    String report() {
        String head = context.getString(R.string.proof_preprocessing, golden.size());
        return head + "\n" + lines(verdicts);
    }

    /** What the red banner says; null if nothing answered wrongly. */
    String problem() {
        return failures.isEmpty() ? null : context.getString(R.string.problem_device, lines(failures));
    }

    private static String lines(Map<String, String> verdicts) {
        StringBuilder result = new StringBuilder();
        for (Map.Entry<String, String> one : verdicts.entrySet()) {
            result.append(result.length() == 0 ? "" : "\n").append(one.getKey()).append(": ").append(one.getValue());
        }
        return result.toString();
    }
}
