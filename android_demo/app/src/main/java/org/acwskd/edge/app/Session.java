package org.acwskd.edge.app;

import android.content.Context;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Build;
import android.os.Handler;
import android.os.Looper;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.acwskd.edge.Bundle;
import org.acwskd.edge.Contract;
import org.acwskd.edge.Drawing;
import org.acwskd.edge.EdgeException;
import org.acwskd.edge.Image;
import org.acwskd.edge.Latency;
import org.acwskd.edge.Segmentation;
import org.acwskd.edge.SelfTest;
import org.acwskd.edge.Upright;

/**
 * Bundle, model and image of one process. Everything happens on one worker thread, in order; the screen gets copies of
 * the state on the main thread. What failed its self-test is never run on an image.
 */
final class Session {
    private static final int RUNS = 50; // of a measurement
    private static final int SHOWN = 2048; // longest side of the drawing; larger images are drawn by every n-th pixel

    /** Shows a state; called on the main thread. */
    interface Listener {
        void show(State state);
    }

    private interface Job {
        void run() throws EdgeException;
    }

    private final Context context;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final ExecutorService worker = Executors.newSingleThreadExecutor();
    private final AtomicInteger drawn = new AtomicInteger(); // only the last of several opacities is drawn
    private Listener listener; // main thread
    private State shown = new State(); // main thread

    // The worker's own.
    private final State state = new State();
    private final Latency[] stages = new Latency[4]; // preprocessing, model, postprocessing, all
    private Bundle bundle;
    private List<Bundle.Golden> golden;
    private Models models;
    private Image image;
    private double opacity = Drawing.OPACITY;

    Session(Context context) {
        this.context = context;
        submit(R.string.checking, new Job() {
            @Override
            public void run() throws EdgeException {
                prove();
            }
        });
    }

    /** Sends every state from now on, and the last one at once. */
    void attach(Listener newListener) {
        listener = newListener;
        newListener.show(shown);
    }

    /** Sends nothing more to this one; after a turn of the phone another may be attached already. */
    void detach(Listener oldListener) {
        if (listener == oldListener) {
            listener = null;
        }
    }

    /** Segments a golden image of the bundle. */
    void openExample(final int index) {
        submit(R.string.segmenting, new Job() {
            @Override
            public void run() throws EdgeException {
                take(golden.get(index).image, golden.get(index).name);
            }
        });
    }

    /** Segments a picture that the user picked. */
    void openPicture(final Uri uri) {
        submit(R.string.segmenting, new Job() {
            @Override
            public void run() throws EdgeException {
                takePicture(Photos.read(context, uri));
            }
        });
    }

    /** Segments what the camera app wrote. */
    void openPhoto() {
        submit(R.string.segmenting, new Job() {
            @Override
            public void run() throws EdgeException {
                takePicture(Photos.takeCamera(context));
            }
        });
    }

    /** Takes another artefact or device, after its self-test. */
    void choose(final int artefact, final Device device) {
        submit(R.string.checking, new Job() {
            @Override
            public void run() throws EdgeException {
                state.artefact = artefact;
                state.device = device;
                load(artefact, device, true);
                if (image != null) {
                    segment();
                }
            }
        });
    }

    /** Segments the same image many times. */
    void measure() {
        submit(R.string.measuring, new Job() {
            @Override
            public void run() throws EdgeException {
                for (int i = 0; image != null && i < RUNS; i++) {
                    segmentOnce();
                }
            }
        });
    }

    /** Draws the tint again, 0 to 1. */
    void setOpacity(final double value) {
        final int number = drawn.incrementAndGet();
        submit(0, new Job() {
            @Override
            public void run() {
                opacity = value;
                if (number == drawn.get()) {
                    draw();
                }
            }
        });
    }

    /** A message about an input that never arrived. */
    void notice(final String text) {
        submit(0, new Job() {
            @Override
            public void run() throws EdgeException {
                throw new EdgeException(text);
            }
        });
    }

    private void submit(final int progress, final Job job) {
        worker.execute(new Runnable() {
            @Override
            public void run() {
                if (progress != 0) {
                    state.notice = null;
                    state.progress = context.getString(progress);
                    publish();
                }
                attempt(job);
                state.progress = null;
                publish();
            }
        });
    }

    private void attempt(Job job) {
        try {
            if (golden == null && state.problem != null) { // the bundle itself is not sound
                throw new EdgeException(context.getString(R.string.nothing_runs));
            }
            job.run();
        } catch (EdgeException error) {
            state.notice = error.getMessage();
        } catch (OutOfMemoryError error) {
            image = null;
            forget();
            state.notice = context.getString(R.string.out_of_memory);
            state.problem = golden == null ? state.notice : state.problem;
        }
    }

    private void publish() {
        final State copy = state.clone();
        main.post(new Runnable() {
            @Override
            public void run() {
                shown = copy;
                if (listener != null) {
                    listener.show(copy);
                }
            }
        });
    }

    /** The first launch: the files, the preprocessing, then every artefact on every device. */
    private void prove() throws EdgeException {
        try {
            bundle = Bundle.open(new AssetSource(context.getAssets(), "bundle"));
            List<Bundle.Golden> found = bundle.golden();
            SelfTest.Check check = SelfTest.preprocessing(found, bundle.contract);
            if (!check.passed) {
                throw new EdgeException(check.detail);
            }
            state.contract = bundle.contract;
            models = new Models(context, bundle, found);
            golden = found;
        } catch (EdgeException error) {
            state.problem = context.getString(R.string.problem_bundle, error.getMessage());
            return;
        }
        state.artefacts = new ArrayList<String>();
        for (Bundle.Artefact one : bundle.artefacts) {
            state.artefacts.add(one.id);
        }
        state.examples = new ArrayList<String>();
        for (Bundle.Golden one : golden) {
            state.examples.add(one.name);
        }
        for (int i = 0; i < bundle.artefacts.size(); i++) {
            for (Device device : Device.values()) {
                load(i, device, false);
                publish();
            }
        }
        load(state.artefact, state.device, true);
        take(golden.get(0).image, golden.get(0).name);
    }

    private void load(int artefact, Device device, boolean wanted) {
        models.load(bundle.artefacts.get(artefact), device, wanted);
        state.selfTest = models.report();
        state.problem = models.problem();
    }

    private void takePicture(Upright picture) throws EdgeException {
        Contract contract = bundle.contract;
        String name = context.getString(R.string.picture);
        if (contract.wide) {
            name = context.getString(R.string.screenshot, contract.low, contract.high);
        }
        take(Image.of(picture, contract), name);
    }

    private void take(Image newImage, String name) throws EdgeException {
        image = newImage;
        state.caption = context.getString(R.string.caption, name, image.width, image.height);
        segment();
    }

    private void segment() throws EdgeException {
        for (int i = 0; i < stages.length; i++) {
            stages[i] = new Latency();
        }
        forget();
        segmentOnce();
        draw();
    }

    /** Nothing of another image, or of a model that is refused now, stays on the screen. */
    private void forget() {
        state.latency = "";
        state.result = null;
        state.picture = null;
    }

    private void segmentOnce() throws EdgeException {
        Segmentation result = Segmentation.run(image, models.current(), bundle.contract);
        stages[0].add(result.preMs);
        stages[1].add(result.modelMs);
        stages[2].add(result.postMs);
        stages[3].add(result.preMs + result.modelMs + result.postMs);
        state.result = result;
        int[] names = {R.string.stage_pre, R.string.stage_model, R.string.stage_post, R.string.stage_all};
        String head = context.getString(R.string.latency_runs, Build.MODEL, stages[0].count());
        StringBuilder lines = new StringBuilder(head);
        for (int i = 0; i < stages.length; i++) {
            lines.append('\n').append(context.getString(R.string.latency_stage, context.getString(names[i]),
                    stages[i].quantile(0.5), stages[i].quantile(0.9)));
        }
        state.latency = lines.toString();
    }

    private void draw() {
        if (image == null || state.result == null) {
            return;
        }
        int step = (Math.max(image.height, image.width) + SHOWN - 1) / SHOWN;
        Drawing drawing = new Drawing(image, state.result.mask, bundle.contract, step);
        Bitmap picture = Bitmap.createBitmap(drawing.width, drawing.height, Bitmap.Config.ARGB_8888);
        int[] row = new int[drawing.width];
        for (int y = 0; y < drawing.height; y++) {
            drawing.row(y, opacity, row);
            picture.setPixels(row, 0, row.length, 0, y, row.length, 1);
        }
        state.picture = picture;
    }
}
