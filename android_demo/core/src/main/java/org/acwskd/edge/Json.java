package org.acwskd.edge;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON (RFC 8259) to typed values. Own code because org.json is part of Android but not of the JVM, where this module
 * is tested, and a library for three small files would be the app's largest dependency after the runtime.
 */
public final class Json {
    private static final int DEEPEST = 64;
    private final String path; // where in the file, for messages
    private final Object value; // Map, List, String, Double, Boolean or null

    private Json(String path, Object value) {
        this.path = path;
        this.value = value;
    }

    /**
     * Parses a whole file.
     *
     * @param name the file's name, for messages
     * @throws EdgeException it is not JSON
     */
    public static Json parse(String name, String text) throws EdgeException {
        return new Json(name, new Parser(name, text).whole());
    }

    /** The value under a key. */
    public Json get(String key) throws EdgeException {
        Map<?, ?> map = as(Map.class, "an object");
        if (!map.containsKey(key)) {
            throw new EdgeException(path + " has no \"" + key + "\"");
        }
        return new Json(path + "." + key, map.get(key));
    }

    /** Whether an object has this key with a value that is not null. */
    public boolean has(String key) {
        return value instanceof Map && ((Map<?, ?>) value).get(key) != null;
    }

    /** An object's keys, in the file's order. */
    public List<String> keys() throws EdgeException {
        List<String> keys = new ArrayList<String>();
        for (Object key : as(Map.class, "an object").keySet()) {
            keys.add((String) key);
        }
        return keys;
    }

    /** A list's values. */
    public List<Json> list() throws EdgeException {
        List<?> values = as(List.class, "a list");
        List<Json> result = new ArrayList<Json>(values.size());
        for (int i = 0; i < values.size(); i++) {
            result.add(new Json(path + "[" + i + "]", values.get(i)));
        }
        return result;
    }

    public String string() throws EdgeException {
        return as(String.class, "a text");
    }

    public double number() throws EdgeException {
        return as(Double.class, "a number");
    }

    /** A whole number. */
    public int integer() throws EdgeException {
        double number = number();
        if (number != Math.rint(number) || Math.abs(number) > Integer.MAX_VALUE) {
            throw new EdgeException(path + " is " + number + "; allowed: a whole number");
        }
        return (int) number;
    }

    /** A list of numbers. */
    public double[] numbers() throws EdgeException {
        List<Json> values = list();
        double[] result = new double[values.size()];
        for (int i = 0; i < result.length; i++) {
            result[i] = values.get(i).number();
        }
        return result;
    }

    private <T> T as(Class<T> kind, String name) throws EdgeException {
        if (!kind.isInstance(value)) {
            throw new EdgeException(path + " is not " + name);
        }
        return kind.cast(value);
    }

    /** Recursive descent over the text. */
    private static final class Parser {
        private final String name;
        private final String text;
        private int at;

        Parser(String name, String text) {
            this.name = name;
            this.text = text;
        }

        Object whole() throws EdgeException {
            Object result = value(0);
            space();
            if (at < text.length()) {
                throw wrong("more text after the value");
            }
            return result;
        }

        private Object value(int depth) throws EdgeException {
            space();
            if (depth > DEEPEST) {
                throw wrong("nested too deeply");
            }
            switch (peek()) {
                case '{':
                    return object(depth);
                case '[':
                    return array(depth);
                case '"':
                    return string();
                case 't':
                    return word("true", Boolean.TRUE);
                case 'f':
                    return word("false", Boolean.FALSE);
                case 'n':
                    return word("null", null);
                default:
                    return number();
            }
        }

        private Map<String, Object> object(int depth) throws EdgeException {
            Map<String, Object> result = new LinkedHashMap<String, Object>();
            at++;
            space();
            if (peek() == '}') {
                at++;
                return result;
            }
            do {
                space();
                String key = string();
                space();
                expect(':');
                if (result.containsKey(key)) {
                    throw wrong("\"" + key + "\" twice");
                }
                result.put(key, value(depth + 1));
            } while (another('}'));
            return result;
        }

        private List<Object> array(int depth) throws EdgeException {
            List<Object> result = new ArrayList<Object>();
            at++;
            space();
            if (peek() == ']') {
                at++;
                return Collections.unmodifiableList(result);
            }
            do {
                result.add(value(depth + 1));
            } while (another(']'));
            return Collections.unmodifiableList(result);
        }

        private boolean another(char end) throws EdgeException {
            space();
            if (peek() == end) {
                at++;
                return false;
            }
            expect(',');
            return true;
        }

        private String string() throws EdgeException {
            expect('"');
            StringBuilder result = new StringBuilder();
            while (peek() != '"') {
                char letter = text.charAt(at++);
                if (letter < ' ') {
                    throw wrong("a control character in a text");
                }
                result.append(letter == '\\' ? escaped() : letter);
            }
            at++;
            return result.toString();
        }

        private char escaped() throws EdgeException {
            peek();
            char letter = text.charAt(at++);
            if (letter == 'u') {
                try {
                    at += 4;
                    return (char) Integer.parseInt(text.substring(at - 4, at), 16);
                } catch (IndexOutOfBoundsException | NumberFormatException error) {
                    throw wrong("a \\u without four hexadecimal digits");
                }
            }
            int known = "\"\\/bfnrt".indexOf(letter);
            if (known < 0) {
                throw wrong("\\" + letter);
            }
            return "\"\\/\b\f\n\r\t".charAt(known);
        }

        private Double number() throws EdgeException {
            int start = at;
            while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            String token = text.substring(start, at);
            if (!token.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")) {
                at = start;
                throw wrong("no JSON value");
            }
            return Double.valueOf(token);
        }

        private Object word(String word, Object meaning) throws EdgeException {
            if (!text.startsWith(word, at)) {
                throw wrong("no JSON value");
            }
            at += word.length();
            return meaning;
        }

        private void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }

        private char peek() throws EdgeException {
            if (at >= text.length()) {
                throw wrong("the file ends early");
            }
            return text.charAt(at);
        }

        private void expect(char wanted) throws EdgeException {
            if (peek() != wanted) {
                throw wrong("no '" + wanted + "'");
            }
            at++;
        }

        private EdgeException wrong(String what) {
            return new EdgeException(name + " is not JSON: " + what + " at character " + at);
        }
    }
}
