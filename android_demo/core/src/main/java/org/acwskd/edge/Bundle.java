package org.acwskd.edge;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** A sealed bundle: everything in it was hashed before it is believed, and is hashed again when it is read. */
public final class Bundle {
    public static final int SCHEMA = 1;
    private static final String MANIFEST = "manifest.json";
    private static final Charset UTF8 = Charset.forName("UTF-8");
    private static final long MOST = 100000000; // bytes of one file; `convert --install` allows no more in all

    public final Contract contract;
    public final List<Artefact> artefacts; // what this app can run: target tflite, io tensor
    private final Source source;
    private final Map<String, String> sealed; // path to SHA-256

    /** Where a bundle's files lie. */
    public interface Source {
        /** Every file's path, relative, with forward slashes. */
        List<String> list() throws IOException;

        InputStream open(String path) throws IOException;
    }

    /** One file that the runtime can execute. */
    public static final class Artefact {
        public final String id; // tflite-int8
        public final String precision;
        public final String path;
        final double agreement; // of argmax with the checkpoint on the golden vectors, measured when it was made

        Artefact(String id, String precision, String path, double agreement) {
            this.id = id;
            this.precision = precision;
            this.path = path;
            this.agreement = agreement;
        }
    }

    /** One slice followed through the checkpoint. */
    public static final class Golden {
        public final String name;
        public final Image image;
        final short[] pixels; // (h, w, C)
        final float[] logits; // (h, w, K)
        final byte[] mask; // (H, W)

        Golden(String name, Image image, short[] pixels, float[] logits, byte[] mask) {
            this.name = name;
            this.image = image;
            this.pixels = pixels;
            this.logits = logits;
            this.mask = mask;
        }
    }

    /**
     * Opens a bundle and checks schema, completeness and hashes.
     *
     * @throws EdgeException no bundle, one of another schema, or a file missing, added or changed; names it
     */
    public static Bundle open(Source source) throws EdgeException {
        return new Bundle(source);
    }

    private Bundle(Source source) throws EdgeException {
        this.source = source;
        Json manifest = Json.parse(MANIFEST, new String(load(MANIFEST), UTF8));
        Contract.checkSchema(manifest, MANIFEST, SCHEMA);
        sealed = new TreeMap<String, String>();
        Json files = manifest.get("files");
        for (String path : files.keys()) {
            sealed.put(path, files.get(path).string());
        }
        checkComplete();
        contract = Contract.parse(new String(read("contract.json"), UTF8));
        Json report = Json.parse("report.json", new String(read("report.json"), UTF8));
        List<Artefact> found = new ArrayList<Artefact>();
        for (Json entry : manifest.get("artefacts").list()) {
            if (entry.get("target").string().equals("tflite") && entry.get("io").string().equals("tensor")) {
                found.add(artefact(entry, report));
            }
        }
        if (found.isEmpty()) {
            throw new EdgeException("the bundle holds no artefact of target tflite and io tensor; "
                    + "next: python -m convert RUN --target tflite --install android_demo");
        }
        artefacts = Collections.unmodifiableList(found);
        for (String path : sealed.keySet()) {
            read(path);
        }
    }

    private Artefact artefact(Json entry, Json report) throws EdgeException {
        String precision = entry.get("precision").string();
        String path = entry.get("path").string();
        String id = "tflite-" + precision;
        if (!sealed.containsKey(path)) {
            throw new EdgeException(tampered("artefact " + id + " is not sealed"));
        }
        for (Json measured : report.get("artefacts").list()) {
            if (measured.get("id").string().equals(id)) {
                return new Artefact(id, precision, path, measured.get("golden").get("argmax_agreement").number());
            }
        }
        throw new EdgeException("report.json says nothing about " + id + "; convert again");
    }

    private void checkComplete() throws EdgeException {
        Set<String> present;
        try {
            present = new TreeSet<String>(source.list());
        } catch (IOException error) {
            throw new EdgeException("the bundle cannot be listed: " + error.getMessage(), error);
        }
        present.remove(MANIFEST);
        List<String> trouble = new ArrayList<String>();
        for (String name : Arrays.asList("contract.json", "report.json")) {
            if (!sealed.containsKey(name)) {
                trouble.add(name + " is not sealed");
            }
        }
        for (String path : sealed.keySet()) {
            if (!present.contains(path)) {
                trouble.add(path + " is missing");
            }
        }
        for (String path : present) {
            if (!sealed.containsKey(path)) {
                trouble.add(path + " was added");
            }
        }
        if (!trouble.isEmpty()) {
            throw new EdgeException(tampered(trouble.get(0)
                    + (trouble.size() > 1 ? " and " + (trouble.size() - 1) + " more" : "")));
        }
    }

    /**
     * A sealed file's bytes.
     *
     * @throws EdgeException it is absent or its hash is another one
     */
    public byte[] read(String path) throws EdgeException {
        byte[] bytes = load(path);
        if (!sha256(bytes).equals(sealed.get(path))) {
            throw new EdgeException(tampered(path + " was changed"));
        }
        return bytes;
    }

    /** All golden vectors, by name. */
    public List<Golden> golden() throws EdgeException {
        Set<String> names = new TreeSet<String>();
        for (String path : sealed.keySet()) {
            String[] parts = path.split("/");
            if (parts.length == 3 && parts[0].equals("golden")) {
                names.add(parts[1]);
            }
        }
        List<Golden> result = new ArrayList<Golden>();
        for (String name : names) {
            result.add(golden(name));
        }
        return result;
    }

    private Golden golden(String name) throws EdgeException {
        Image image = Image.of(array(name, "image"), contract);
        short[] pixels = array(name, "pixels")
                .expect(name + "/pixels.npy", contract.height, contract.width, contract.channels).shorts();
        float[] logits = array(name, "logits")
                .expect(name + "/logits.npy", 1, contract.classes(), contract.height, contract.width).floats();
        byte[] mask = array(name, "mask").expect(name + "/mask.npy", image.height, image.width).bytes();
        return new Golden(name, image, pixels, Postprocess.channelsLast(logits, contract.classes()), mask);
    }

    private Npy array(String name, String part) throws EdgeException {
        String path = "golden/" + name + "/" + part + ".npy";
        return Npy.parse(path, read(path));
    }

    private byte[] load(String path) throws EdgeException {
        try {
            InputStream stream = source.open(path);
            try {
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                byte[] block = new byte[1 << 16];
                for (int count = stream.read(block); count >= 0; count = stream.read(block)) {
                    bytes.write(block, 0, count);
                    if (bytes.size() > MOST) {
                        throw new EdgeException(path + " is larger than " + MOST + " bytes");
                    }
                }
                return bytes.toByteArray();
            } finally {
                stream.close();
            }
        } catch (IOException error) {
            throw new EdgeException("the bundle has no readable " + path
                    + "; next: python -m convert RUN --target tflite --install android_demo", error);
        }
    }

    private static String sha256(byte[] bytes) {
        try {
            StringBuilder hex = new StringBuilder();
            for (byte one : MessageDigest.getInstance("SHA-256").digest(bytes)) {
                hex.append(Character.forDigit(one >> 4 & 15, 16)).append(Character.forDigit(one & 15, 16));
            }
            return hex.toString();
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Java and every Android has it
        }
    }

    private static String tampered(String what) {
        return "the bundle was tampered with: " + what + "; copy it again or convert again";
    }
}
