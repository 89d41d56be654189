plugins {
    id("com.android.application")
}

// One version: the last line whose interpreter has GPU and NNAPI delegates (org.tensorflow.lite); 2.x has them no more.
val litert = "1.4.2"

android {
    namespace = "org.acwskd.edge.app"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.acwskd.edge.app"
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

    androidResources {
        noCompress += "tflite"
    }
}

dependencies {
    implementation(project(":core"))
    implementation("com.google.ai.edge.litert:litert:$litert")
    implementation("com.google.ai.edge.litert:litert-gpu:$litert")
}
