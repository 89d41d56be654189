package org.acwskd.edge;

/** What a user can be told: what was given and what is allowed. Every other exception is a mistake of this program. */
public final class EdgeException extends Exception {
    private static final long serialVersionUID = 1L;

    public EdgeException(String message) {
        super(message);
    }

    public EdgeException(String message, Throwable cause) {
        super(message, cause);
    }
}
