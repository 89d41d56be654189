package org.acwskd.edge.app;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.media.ExifInterface;
import android.net.Uri;
import android.os.Build;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.acwskd.edge.EdgeException;
import org.acwskd.edge.PictureFile;
import org.acwskd.edge.Pixels;
import org.acwskd.edge.Upright;

/** Picture files as pixels: looked at before they are decoded, values as they are in the file, upright. */
final class Photos {
    private static final long MOST_BYTES = 100000000;

    private Photos() {
    }

    /** Where the camera app is asked to write. */
    static File camera(Context context) {
        return new File(context.getCacheDir(), "photo.jpg");
    }

    /**
     * Reads what the user picked: copied first, because bounds, orientation and pixels are three passes.
     *
     * @throws EdgeException it cannot be read, or is not an allowed picture
     */
    static Upright read(Context context, Uri uri) throws EdgeException {
        File copy = new File(context.getCacheDir(), "picked");
        try {
            InputStream from = context.getContentResolver().openInputStream(uri);
            if (from == null) {
                throw new IOException("nothing there");
            }
            try {
                copy(from, copy);
            } finally {
                from.close();
            }
            return read(copy);
        } catch (IOException | SecurityException error) {
            throw new EdgeException("the file cannot be read (" + error.getMessage() + "); choose it again", error);
        } finally {
            discard(copy);
        }
    }

    /**
     * Reads what the camera app wrote, and keeps no copy.
     *
     * @throws EdgeException it wrote nothing, or no allowed picture
     */
    static Upright takeCamera(Context context) throws EdgeException {
        try {
            return read(camera(context));
        } finally {
            discard(camera(context));
        }
    }

    /** Deletes a file, if it is there. */
    static void discard(File file) {
        if (file.exists() && !file.delete()) {
            file.deleteOnExit();
        }
    }

    private static void copy(InputStream from, File to) throws IOException, EdgeException {
        OutputStream stream = new FileOutputStream(to);
        try {
            byte[] block = new byte[1 << 16];
            long total = 0;
            for (int count = from.read(block); count >= 0; count = from.read(block)) {
                total += count;
                if (total > MOST_BYTES) {
                    throw new EdgeException("a file of more than " + MOST_BYTES / 1000000 + " MB");
                }
                stream.write(block, 0, count);
            }
        } finally {
            stream.close();
        }
    }

    private static Upright read(File file) throws EdgeException {
        BitmapFactory.Options options = new BitmapFactory.Options();
        boolean png;
        try {
            byte[] first = new byte[PictureFile.HEADER];
            InputStream stream = new FileInputStream(file);
            try {
                png = PictureFile.checkHeader(first, Math.max(0, stream.read(first)));
            } finally {
                stream.close();
            }
        } catch (IOException error) {
            throw new EdgeException("the file cannot be read (" + error.getMessage() + ")", error);
        }
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeFile(file.getPath(), options);
        if (options.outWidth < 1 || options.outHeight < 1) {
            throw new EdgeException("not a picture that can be read; allowed: PNG or JPEG");
        }
        PictureFile.checkSize(options.outWidth, options.outHeight);
        options.inJustDecodeBounds = false;
        options.inPremultiplied = false; // alpha is dropped, not multiplied in
        options.inScaled = false;
        options.inPreferredConfig = Bitmap.Config.ARGB_8888;
        Bitmap bitmap = BitmapFactory.decodeFile(file.getPath(), options);
        if (bitmap == null) {
            throw new EdgeException("the picture is damaged and cannot be decoded; save it again");
        }
        return new Upright(pixels(bitmap), orientation(file, png));
    }

    /** EXIF's 1 to 8; 1 where there is none, or where it is damaged. Before Android 11 it is read of JPEG alone. */
    private static int orientation(File file, boolean png) {
        if (png && Build.VERSION.SDK_INT < 30) {
            return ExifInterface.ORIENTATION_NORMAL;
        }
        try {
            ExifInterface tags = new ExifInterface(file.getPath());
            return tags.getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL);
        } catch (IOException error) {
            return ExifInterface.ORIENTATION_NORMAL;
        }
    }

    private static Pixels pixels(final Bitmap bitmap) {
        return new Pixels() {
            @Override
            public int width() {
                return bitmap.getWidth();
            }

            @Override
            public int height() {
                return bitmap.getHeight();
            }

            @Override
            public void read(int x, int y, int width, int height, int[] into) {
                bitmap.getPixels(into, 0, width, x, y, width, height);
            }
        };
    }
}
