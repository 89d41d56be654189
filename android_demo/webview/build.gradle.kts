plugins {
    id("com.android.application")
}

android {
    namespace = "org.acwskd.edge.web"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.acwskd.edge.web"
        minSdk = 23
        targetSdk = 34
        versionCode = 1
        versionName = "0.1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }

    sourceSets["main"].res.srcDir("../shared/res")
    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("assets"))
}

// The page itself, less what only a server or a test needs; `make web-demo` fetches its libraries.
val webAssets = tasks.register<Sync>("webAssets") {
    from("../../web_demo")
    exclude(file("left-out.txt").readLines())
    into(layout.buildDirectory.dir("assets/www"))
}

tasks.named("preBuild") {
    dependsOn(webAssets)
}
