package org.tensorflow.lite;

/** The shape of LiteRT's class, for the compiler alone; see stubs/README.md. */
public enum DataType {
    FLOAT32
}
