package org.acwskd.edge.app;

import android.annotation.SuppressLint;
import android.content.Context;
import android.content.SharedPreferences;
import android.content.pm.PackageManager;

/**
 * Drivers that end the process cannot be caught. What was being tried is written down before, so that the next launch
 * leaves it alone; an update of the app tries again.
 */
final class Crashes {
    private final SharedPreferences kept;
    private final long installed;

    Crashes(Context context) {
        kept = context.getSharedPreferences("crashes", Context.MODE_PRIVATE);
        try {
            installed = context.getPackageManager().getPackageInfo(context.getPackageName(), 0).lastUpdateTime;
        } catch (PackageManager.NameNotFoundException error) {
            throw new IllegalStateException(error); // the app itself
        }
    }

    /** Whether this ended the app since it was installed. */
    boolean ended(Device device) {
        return kept.getLong(device.name(), -1) == installed;
    }

    /** Call before the first run on a device. */
    @SuppressLint("ApplySharedPref") // it must be on disk before the driver is called
    void trying(Device device) {
        kept.edit().putLong(device.name(), installed).commit();
    }

    /** Call when the app is still there. */
    void survived(Device device) {
        kept.edit().remove(device.name()).apply();
    }
}
