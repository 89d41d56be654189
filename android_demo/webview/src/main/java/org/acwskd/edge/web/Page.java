package org.acwskd.edge.web;

import android.content.res.AssetManager;
import android.net.Uri;
import android.webkit.WebResourceResponse;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Map;

/**
 * The app's assets as a site of their own. The host is the one that Google keeps free for this: https, so that the page
 * may use the camera and check hashes, and no server answers there.
 */
final class Page {
    static final String ORIGIN = "https://appassets.androidplatform.net";
    static final String HOME = ORIGIN + "/index.html";
    private static final String ROOT = "www";
    private static final Map<String, String> TYPES = new HashMap<String, String>();

    static {
        TYPES.put("html", "text/html");
        TYPES.put("css", "text/css");
        TYPES.put("js", "text/javascript");
        TYPES.put("mjs", "text/javascript");
        TYPES.put("json", "application/json");
        TYPES.put("webmanifest", "application/manifest+json");
        TYPES.put("wasm", "application/wasm");
        TYPES.put("svg", "image/svg+xml");
        TYPES.put("png", "image/png");
    }

    private final AssetManager assets;

    Page(AssetManager assets) {
        this.assets = assets;
    }

    /** Whether this is the app's own. */
    static boolean owns(Uri url) {
        return ORIGIN.equals(url.getScheme() + "://" + url.getAuthority());
    }

    /** A file of the app, 404, or 403 for every other host. */
    WebResourceResponse answer(Uri url) {
        String path = url.getPath();
        if (!owns(url) || path == null) {
            return response("text/plain", 403, "Forbidden", nothing());
        }
        try {
            return response(typeOf(path), 200, "OK", assets.open(ROOT + path));
        } catch (IOException error) {
            return response("text/plain", 404, "Not Found", nothing());
        }
    }

    private static String typeOf(String path) {
        String type = TYPES.get(path.substring(path.lastIndexOf('.') + 1));
        return type == null ? "application/octet-stream" : type;
    }

    private static InputStream nothing() {
        return new ByteArrayInputStream(new byte[0]);
    }

    private static WebResourceResponse response(String type, int status, String reason, InputStream body) {
        Map<String, String> headers = new HashMap<String, String>();
        headers.put("Cache-Control", "no-cache");
        headers.put("X-Content-Type-Options", "nosniff");
        String encoding = type.startsWith("text/") ? "utf-8" : null;
        return new WebResourceResponse(type, encoding, status, reason, headers, body);
    }
}
