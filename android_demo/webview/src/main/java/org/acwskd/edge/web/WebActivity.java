package org.acwskd.edge.web;

import android.Manifest;
import android.annotation.SuppressLint;
import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.net.Uri;
import android.os.Bundle;
import android.view.Gravity;
import android.webkit.DownloadListener;
import android.webkit.PermissionRequest;
import android.webkit.ValueCallback;
import android.webkit.WebChromeClient;
import android.webkit.WebResourceRequest;
import android.webkit.WebResourceResponse;
import android.webkit.WebSettings;
import android.webkit.WebView;
import android.webkit.WebViewClient;
import android.widget.TextView;
import android.widget.Toast;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The web demo in a window of its own: page, runtime and bundle are this app's assets. */
public final class WebActivity extends Activity {
    private static final int FILE = 1; // request codes
    private static final int CAMERA = 2;
    private static final int LEAST_CHROME = 91; // import maps and wasm with SIMD

    private WebView web; // null where there is none
    private ValueCallback<Uri[]> waitingForFile;
    private PermissionRequest waitingForCamera;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        try {
            web = new WebView(this);
        } catch (RuntimeException error) { // what Android throws where WebView is missing or being updated
            say(getString(R.string.no_webview, error.getMessage()));
            return;
        }
        prepare(web.getSettings());
        int version = chromeVersion(web.getSettings().getUserAgentString());
        if (version < LEAST_CHROME) {
            say(getString(R.string.old_webview, version, LEAST_CHROME));
            return;
        }
        web.setWebViewClient(new OwnFiles(new Page(getAssets())));
        web.setWebChromeClient(new Requests());
        web.setDownloadListener(new DownloadListener() {
            @Override
            public void onDownloadStart(String url, String agent, String disposition, String type, long length) {
                Toast.makeText(WebActivity.this, R.string.no_saving, Toast.LENGTH_LONG).show();
            }
        });
        setContentView(web);
        web.loadUrl(Page.HOME);
    }

    @SuppressLint("SetJavaScriptEnabled") // only the app's own files are ever loaded
    private static void prepare(WebSettings settings) {
        settings.setJavaScriptEnabled(true);
        settings.setAllowFileAccess(false);
        settings.setGeolocationEnabled(false);
        settings.setMediaPlaybackRequiresUserGesture(false); // the camera's preview starts after the permission
    }

    /** 0 where the agent names none. */
    static int chromeVersion(String agent) {
        Matcher found = Pattern.compile("Chrome/([0-9]{1,6})").matcher(agent);
        return found.find() ? Integer.parseInt(found.group(1)) : 0;
    }

    private void say(String sentence) {
        TextView text = new TextView(this);
        text.setGravity(Gravity.CENTER);
        text.setPadding(48, 48, 48, 48);
        text.setTextSize(18);
        text.setText(sentence);
        setContentView(text);
    }

    @Override
    protected void onPause() {
        super.onPause();
        if (web != null) {
            web.onPause();
        }
    }

    @Override
    protected void onResume() {
        super.onResume();
        if (web != null) {
            web.onResume();
        }
    }

    @Override
    protected void onDestroy() {
        if (web != null) {
            web.destroy();
        }
        super.onDestroy();
    }

    @Override
    protected void onActivityResult(int code, int result, Intent data) {
        if (code == FILE && waitingForFile != null) {
            Uri picked = result == RESULT_OK && data != null ? data.getData() : null;
            waitingForFile.onReceiveValue(picked == null ? null : new Uri[] {picked});
            waitingForFile = null;
        }
    }

    @Override
    public void onRequestPermissionsResult(int code, String[] names, int[] results) {
        if (code == CAMERA && waitingForCamera != null) {
            answerCamera(waitingForCamera, results.length == 1 && results[0] == PackageManager.PERMISSION_GRANTED);
            waitingForCamera = null;
        }
    }

    private static void answerCamera(PermissionRequest request, boolean granted) {
        if (granted) {
            request.grant(new String[] {PermissionRequest.RESOURCE_VIDEO_CAPTURE});
        } else {
            request.deny(); // the page says so
        }
    }

    /** Every request is answered here; none reaches a network. */
    private static final class OwnFiles extends WebViewClient {
        private final Page page;

        OwnFiles(Page page) {
            this.page = page;
        }

        @Override
        public WebResourceResponse shouldInterceptRequest(WebView view, WebResourceRequest request) {
            String scheme = request.getUrl().getScheme();
            boolean inMemory = "blob".equals(scheme) || "data".equals(scheme);
            return inMemory ? null : page.answer(request.getUrl());
        }

        @Override
        public boolean shouldOverrideUrlLoading(WebView view, String url) {
            return !Page.owns(Uri.parse(url));
        }
    }

    /** What the page asks of the phone: a file, the camera. */
    private final class Requests extends WebChromeClient {
        @Override
        public boolean onShowFileChooser(WebView view, ValueCallback<Uri[]> answer, FileChooserParams wanted) {
            if (waitingForFile != null) {
                waitingForFile.onReceiveValue(null);
            }
            waitingForFile = answer;
            // Scans have no MIME type, so everything may be picked; the page refuses what it cannot read.
            Intent intent = new Intent(Intent.ACTION_GET_CONTENT).setType("*/*").addCategory(Intent.CATEGORY_OPENABLE);
            try {
                startActivityForResult(intent, FILE);
            } catch (ActivityNotFoundException error) {
                Toast.makeText(WebActivity.this, R.string.no_picker, Toast.LENGTH_LONG).show();
                waitingForFile.onReceiveValue(null);
                waitingForFile = null;
            }
            return true;
        }

        @Override
        public void onPermissionRequest(PermissionRequest request) {
            boolean video = Arrays.asList(request.getResources()).contains(PermissionRequest.RESOURCE_VIDEO_CAPTURE);
            if (!video || !Page.owns(request.getOrigin())) {
                request.deny();
            } else if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
                answerCamera(request, true);
            } else {
                waitingForCamera = request;
                requestPermissions(new String[] {Manifest.permission.CAMERA}, CAMERA);
            }
        }

        @Override
        public void onPermissionRequestCanceled(PermissionRequest request) {
            waitingForCamera = null;
        }
    }
}
