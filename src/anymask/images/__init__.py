"""Reading images: any file, mode and depth as H x W x 3 uint8, upright."""
