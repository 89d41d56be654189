package org.acwskd.edge.app;

import android.app.Activity;
import android.app.AlertDialog;
import android.content.ActivityNotFoundException;
import android.content.ClipData;
import android.content.DialogInterface;
import android.content.Intent;
import android.net.Uri;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.View;
import android.widget.AdapterView;
import android.widget.ArrayAdapter;
import android.widget.ImageView;
import android.widget.LinearLayout;
import android.widget.SeekBar;
import android.widget.Spinner;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.List;
import org.acwskd.edge.Drawing;

/** The one screen: shows the session's state and passes on what the user does. */
public final class MainActivity extends Activity implements Session.Listener {
    private static final int PICTURE = 1; // request codes
    private static final int PHOTO = 2;

    private Session session;
    private State state;
    private ClassList classes;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.main);
        session = ((DemoApp) getApplication()).session();
        classes = new ClassList((LinearLayout) findViewById(R.id.classes));
        onClick(R.id.gallery, new Runnable() {
            @Override
            public void run() {
                pick();
            }
        });
        onClick(R.id.camera, new Runnable() {
            @Override
            public void run() {
                photograph();
            }
        });
        onClick(R.id.examples, new Runnable() {
            @Override
            public void run() {
                chooseExample();
            }
        });
        onClick(R.id.measure, new Runnable() {
            @Override
            public void run() {
                session.measure();
            }
        });
        List<String> devices = new ArrayList<String>();
        for (Device device : Device.values()) {
            devices.add(getString(device.title));
        }
        fill(R.id.device, devices);
        prepareOpacity();
        session.attach(this);
    }

    @Override
    protected void onDestroy() {
        session.detach(this);
        super.onDestroy();
    }

    private void onClick(int id, final Runnable action) {
        findViewById(id).setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                action.run();
            }
        });
    }

    private void prepareOpacity() {
        SeekBar opacity = (SeekBar) findViewById(R.id.opacity);
        opacity.setProgress((int) Math.round(Drawing.OPACITY * opacity.getMax()));
        opacity.setOnSeekBarChangeListener(new SeekBar.OnSeekBarChangeListener() {
            @Override
            public void onProgressChanged(SeekBar bar, int value, boolean fromUser) {
                session.setOpacity((double) value / bar.getMax());
            }

            @Override
            public void onStartTrackingTouch(SeekBar bar) {
            }

            @Override
            public void onStopTrackingTouch(SeekBar bar) {
            }
        });
    }

    private void pick() {
        Intent intent = new Intent(Intent.ACTION_GET_CONTENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE);
        launch(intent, PICTURE, R.string.no_gallery);
    }

    private void photograph() {
        Photos.discard(Photos.camera(this)); // a camera app that writes nothing must not bring back the last photo
        Uri target = PhotoProvider.uri(this);
        Intent intent = new Intent(MediaStore.ACTION_IMAGE_CAPTURE).putExtra(MediaStore.EXTRA_OUTPUT, target);
        intent.setClipData(ClipData.newRawUri("", target)); // the grant goes with it
        intent.addFlags(Intent.FLAG_GRANT_WRITE_URI_PERMISSION | Intent.FLAG_GRANT_READ_URI_PERMISSION);
        launch(intent, PHOTO, R.string.no_camera);
    }

    private void launch(Intent intent, int code, int otherwise) {
        try {
            startActivityForResult(intent, code);
        } catch (ActivityNotFoundException | SecurityException error) {
            session.notice(getString(otherwise));
        }
    }

    @Override
    protected void onActivityResult(int code, int result, Intent data) {
        if (result != RESULT_OK) {
            session.notice(getString(R.string.nothing_picked));
        } else if (code == PHOTO) {
            session.openPhoto();
        } else if (data == null || data.getData() == null) {
            session.notice(getString(R.string.nothing_picked));
        } else {
            session.openPicture(data.getData());
        }
    }

    private void chooseExample() {
        String[] names = state.examples.toArray(new String[0]);
        new AlertDialog.Builder(this).setTitle(R.string.examples)
                .setItems(names, new DialogInterface.OnClickListener() {
                    @Override
                    public void onClick(DialogInterface dialog, int index) {
                        session.openExample(index);
                    }
                }).show();
    }

    @Override
    public void show(State next) {
        boolean otherModels = state == null || !state.artefacts.equals(next.artefacts);
        state = next;
        TextView problem = (TextView) findViewById(R.id.problem);
        problem.setVisibility(next.problem == null ? View.GONE : View.VISIBLE);
        setText(R.id.problem, next.problem == null ? "" : next.problem);
        setText(R.id.status, next.progress != null ? next.progress : next.notice != null ? next.notice : "");
        setText(R.id.caption, next.caption);
        setText(R.id.latency, next.latency);
        setText(R.id.self_test, next.selfTest);
        if (otherModels) {
            fill(R.id.model, next.artefacts);
        }
        ((Spinner) findViewById(R.id.model)).setSelection(next.artefact);
        ((Spinner) findViewById(R.id.device)).setSelection(next.device.ordinal());
        findViewById(R.id.examples).setEnabled(!next.examples.isEmpty());
        findViewById(R.id.measure).setEnabled(next.result != null && next.progress == null);
        if (next.contract != null) {
            setText(R.id.about, getString(R.string.about, next.contract.name, next.contract.modality,
                    next.contract.intendedUse));
            String described = classes.show(next.contract, next.result);
            ImageView picture = (ImageView) findViewById(R.id.picture);
            picture.setImageBitmap(next.picture);
            picture.setContentDescription(next.picture == null ? getString(R.string.picture_empty)
                    : getString(R.string.picture_described, described));
        }
    }

    /** An unchanged text is left alone: a screen reader would say it again. */
    private void setText(int id, String text) {
        TextView view = (TextView) findViewById(id);
        if (!text.contentEquals(view.getText())) {
            view.setText(text);
        }
    }

    private void fill(int id, List<String> names) {
        Spinner spinner = (Spinner) findViewById(id);
        ArrayAdapter<String> adapter = new ArrayAdapter<String>(this, android.R.layout.simple_spinner_item, names);
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        spinner.setAdapter(adapter);
        spinner.setOnItemSelectedListener(new AdapterView.OnItemSelectedListener() {
            @Override
            public void onItemSelected(AdapterView<?> parent, View view, int position, long id) {
                chosen();
            }

            @Override
            public void onNothingSelected(AdapterView<?> parent) {
            }
        });
    }

    private void chosen() {
        int artefact = ((Spinner) findViewById(R.id.model)).getSelectedItemPosition();
        int device = ((Spinner) findViewById(R.id.device)).getSelectedItemPosition();
        boolean other = artefact != state.artefact || device != state.device.ordinal();
        if (other && !state.artefacts.isEmpty() && device >= 0) {
            session.choose(artefact, Device.values()[device]);
        }
    }
}
