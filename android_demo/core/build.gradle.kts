plugins {
    `java-library`
}

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

dependencies {
    testImplementation("junit:junit:4.13.2")
}

// python tests/demos/vectors.py android_demo/core/build/vectors
tasks.test {
    systemProperty("acwskd.vectors", layout.buildDirectory.dir("vectors").get().asFile)
    systemProperty("acwskd.bundle", rootProject.file("app/src/main/assets/bundle"))
}
