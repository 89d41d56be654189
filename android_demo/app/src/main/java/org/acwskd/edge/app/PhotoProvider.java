package org.acwskd.edge.app;

import android.content.ContentProvider;
import android.content.ContentValues;
import android.content.Context;
import android.database.Cursor;
import android.database.MatrixCursor;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import android.provider.OpenableColumns;
import java.io.FileNotFoundException;

/** One file that the camera app may write: it is granted for one photo, and nothing else lies behind it. */
public final class PhotoProvider extends ContentProvider {
    private static final String NAME = "photo.jpg";

    /** What to hand to the camera app. */
    static Uri uri(Context context) {
        return Uri.parse("content://" + context.getPackageName() + ".photo/" + NAME);
    }

    @Override
    public boolean onCreate() {
        return true;
    }

    @Override
    public ParcelFileDescriptor openFile(Uri uri, String mode) throws FileNotFoundException {
        Context context = getContext();
        if (context == null || !uri(context).equals(uri)) {
            throw new FileNotFoundException(uri.toString());
        }
        return ParcelFileDescriptor.open(Photos.camera(context), ParcelFileDescriptor.parseMode(mode));
    }

    @Override
    public String getType(Uri uri) {
        return "image/jpeg";
    }

    @Override
    public Cursor query(Uri uri, String[] columns, String selection, String[] arguments, String order) {
        MatrixCursor cursor = new MatrixCursor(new String[] {OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE});
        Context context = getContext();
        cursor.addRow(new Object[] {NAME, context == null ? 0 : Photos.camera(context).length()});
        return cursor;
    }

    @Override
    public Uri insert(Uri uri, ContentValues values) {
        return null;
    }

    @Override
    public int delete(Uri uri, String selection, String[] arguments) {
        return 0;
    }

    @Override
    public int update(Uri uri, ContentValues values, String selection, String[] arguments) {
        return 0;
    }
}
