package org.acwskd.edge.app;

import android.content.res.AssetManager;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.acwskd.edge.Bundle;

/** The bundle as `convert --install` put it into the app's assets. */
final class AssetSource implements Bundle.Source {
    private final AssetManager assets;
    private final String root;

    AssetSource(AssetManager assets, String root) {
        this.assets = assets;
        this.root = root;
    }

    @Override
    public List<String> list() throws IOException {
        List<String> files = new ArrayList<String>();
        collect("", files);
        return files;
    }

    private void collect(String folder, List<String> files) throws IOException {
        for (String name : assets.list(folder.isEmpty() ? root : root + "/" + folder)) {
            String path = folder.isEmpty() ? name : folder + "/" + name;
            if (assets.list(root + "/" + path).length > 0) { // a file has no children; an empty folder is no asset
                collect(path, files);
            } else {
                files.add(path);
            }
        }
    }

    @Override
    public InputStream open(String path) throws IOException {
        return assets.open(root + "/" + path);
    }
}
