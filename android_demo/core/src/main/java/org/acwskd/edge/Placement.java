package org.acwskd.edge;

/** Where an image of a given size lies on the network's grid, in grid pixels. */
final class Placement {
    final int top;
    final int left;
    final int height;
    final int width;

    Placement(Contract contract, int imageHeight, int imageWidth) {
        if (contract.letterbox) {
            double scale = Math.min((double) contract.height / imageHeight, (double) contract.width / imageWidth);
            height = Math.min(contract.height, Math.max(1, (int) Math.floor(imageHeight * scale + 0.5)));
            width = Math.min(contract.width, Math.max(1, (int) Math.floor(imageWidth * scale + 0.5)));
        } else {
            height = contract.height;
            width = contract.width;
        }
        top = (contract.height - height) / 2;
        left = (contract.width - width) / 2;
    }
}
