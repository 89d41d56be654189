package org.acwskd.edge.app;

import android.app.Application;

/** Holds the session, so that turning the phone loses nothing. */
public final class DemoApp extends Application {
    private Session session;

    /** The process's session, begun at its first use. */
    Session session() {
        if (session == null) {
            session = new Session(this);
        }
        return session;
    }
}
