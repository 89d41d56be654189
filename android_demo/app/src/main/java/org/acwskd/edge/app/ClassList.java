package org.acwskd.edge.app;

import android.content.Context;
import android.graphics.drawable.ColorDrawable;
import android.view.Gravity;
import android.view.View;
import android.widget.LinearLayout;
import android.widget.TextView;
import org.acwskd.edge.Contract;
import org.acwskd.edge.Segmentation;

/** Legend and measurements: a row per class, its colour beside its name. */
final class ClassList {
    private static final int SWATCH = 20; // dp

    private final LinearLayout list;

    ClassList(LinearLayout list) {
        this.list = list;
    }

    /** Fills the list; returns what a screen reader says of the picture. */
    String show(Contract contract, Segmentation result) {
        if (list.getChildCount() != contract.classes() - 1) {
            build(contract);
        }
        StringBuilder found = new StringBuilder();
        for (int label = 1; label < contract.classes(); label++) {
            String line = line(contract, result, label);
            TextView text = (TextView) ((LinearLayout) list.getChildAt(label - 1)).getChildAt(1);
            text.setText(line);
            if (result != null && result.areas[label] > 0) {
                found.append(line).append(". ");
            }
        }
        return found.toString();
    }

    private String line(Contract contract, Segmentation result, int label) {
        String name = contract.labels.get(label).name;
        if (result == null) {
            return name;
        }
        Context context = list.getContext();
        int pixels = result.areas[label];
        return pixels == 0 ? context.getString(R.string.class_absent, name)
                : context.getString(R.string.class_line, name, 100.0 * pixels / result.mask.length, pixels,
                        result.confidence[label]);
    }

    private void build(Contract contract) {
        Context context = list.getContext();
        int side = Math.round(SWATCH * context.getResources().getDisplayMetrics().density);
        list.removeAllViews();
        for (int label = 1; label < contract.classes(); label++) {
            View swatch = new View(context);
            swatch.setBackground(new ColorDrawable(0xff000000 | contract.labels.get(label).color));
            swatch.setImportantForAccessibility(View.IMPORTANT_FOR_ACCESSIBILITY_NO);
            TextView text = new TextView(context);
            text.setTextColor(context.getColor(R.color.text));
            text.setPadding(side / 2, 0, 0, 0);
            LinearLayout row = new LinearLayout(context);
            row.setGravity(Gravity.CENTER_VERTICAL);
            row.setPadding(0, side / 4, 0, side / 4);
            row.addView(swatch, new LinearLayout.LayoutParams(side, side));
            row.addView(text);
            list.addView(row);
        }
    }
}
