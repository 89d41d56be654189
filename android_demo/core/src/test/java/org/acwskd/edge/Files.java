package org.acwskd.edge;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;

/** Folders that the tests are given, and a bundle in memory that a test may spoil. */
final class Files {
    private Files() {
    }

    /** The folder under a system property; Gradle and pytest set them. */
    static File folder(String property, String next) {
        String value = System.getProperty(property);
        if (value == null || !new File(value).isDirectory()) {
            throw new AssertionError("no folder in -D" + property + "=" + value + "; next: " + next);
        }
        return new File(value);
    }

    /** The vectors that all ports are held to. */
    static List<File> vectors() {
        String next = "python tests/demos/vectors.py android_demo/core/build/vectors";
        File[] found = folder("acwskd.vectors", next).listFiles();
        Arrays.sort(found);
        return Arrays.asList(found);
    }

    static byte[] bytes(File file) throws IOException {
        InputStream stream = new FileInputStream(file);
        try {
            ByteArrayOutputStream result = new ByteArrayOutputStream();
            byte[] block = new byte[1 << 16];
            for (int count = stream.read(block); count >= 0; count = stream.read(block)) {
                result.write(block, 0, count);
            }
            return result.toByteArray();
        } finally {
            stream.close();
        }
    }

    static String text(File file) throws IOException {
        return new String(bytes(file), Charset.forName("UTF-8"));
    }

    static Npy array(File vector, String part) throws Exception {
        return Npy.parse(part, bytes(new File(vector, part + ".npy")));
    }

    static Contract contract(File vector) throws Exception {
        return Contract.parse(text(new File(vector, "contract.json")));
    }

    /** The app's bundle, copied into memory. */
    static final class Memory implements Bundle.Source {
        final TreeMap<String, byte[]> files = new TreeMap<String, byte[]>();

        Memory() throws IOException {
            String next = "python -m convert RUN --target tflite --install android_demo";
            add(folder("acwskd.bundle", next), "");
        }

        private void add(File folder, String prefix) throws IOException {
            for (File one : folder.listFiles()) {
                if (one.isDirectory()) {
                    add(one, prefix + one.getName() + "/");
                } else {
                    files.put(prefix + one.getName(), bytes(one));
                }
            }
        }

        /** Replaces text in a file. */
        void edit(String path, String old, String replacement) {
            String text = new String(files.get(path), Charset.forName("UTF-8"));
            if (!text.contains(old)) {
                throw new AssertionError(path + " has no " + old);
            }
            files.put(path, text.replace(old, replacement).getBytes(Charset.forName("UTF-8")));
        }

        @Override
        public List<String> list() {
            return new ArrayList<String>(files.keySet());
        }

        @Override
        public InputStream open(String path) throws IOException {
            if (!files.containsKey(path)) {
                throw new IOException(path);
            }
            return new ByteArrayInputStream(files.get(path));
        }
    }
}
