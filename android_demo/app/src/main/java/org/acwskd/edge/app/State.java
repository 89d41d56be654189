package org.acwskd.edge.app;

import android.graphics.Bitmap;
import java.util.Collections;
import java.util.List;
import org.acwskd.edge.Contract;
import org.acwskd.edge.Segmentation;

/** All that the screen shows; the worker changes its own, the screen is given copies. */
final class State implements Cloneable {
    String problem; // red banner: what must not be run, and why; null if all is well
    String notice; // about the last input; null if it was taken
    String progress; // what is being done; null when idle
    Contract contract; // null until a bundle is open
    List<String> artefacts = Collections.emptyList();
    List<String> examples = Collections.emptyList();
    int artefact;
    Device device = Device.CPU_2;
    Bitmap picture; // null until something was segmented
    String caption = "";
    Segmentation result; // null where the picture has none
    String latency = "";
    String selfTest = "";

    @Override
    public State clone() {
        try {
            return (State) super.clone();
        } catch (CloneNotSupportedException error) {
            throw new IllegalStateException(error);
        }
    }
}
