//! Real CLMS packages, where this machine has them.

use super::*;

/// Wraps a package as the service does.
fn outer(shop: &Workshop, package: &Path) -> PathBuf {
    let name = format!("Results/{}", package.file_name().unwrap().to_str().unwrap());
    shop.zip(&[(&name, package)])
}

#[test]
fn real_packages_keep_everything() {
    let Some(folder) = real_data() else { return };
    let (mut rasters, mut vectors) = (0, 0);
    for package in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let shop = Workshop::new();
        let meta = shop
            .ingest(&outer(&shop, &package))
            .unwrap_or_else(|error| panic!("{}: {error}", package.display()));
        let unpacked = shop.path("unpacked/x").parent().unwrap().to_owned();
        let scratch = shop.path("scratch");
        let files = super::super::package::unpack(
            &outer(&shop, &package),
            &unpacked,
            &scratch,
            &Limits::default(),
            false,
            Default::default(),
            &mut |_| {},
        )
        .unwrap();
        assert_eq!(files.len(), meta.originals.len() + meta.rasters.len());
        for file in &meta.originals {
            let kept = fs::read(shop.entry().join("original").join(&file.path)).unwrap();
            assert_eq!(kept, fs::read(unpacked.join(&file.path)).unwrap());
        }
        for vector in &meta.vectors {
            let bbox = vector.layers[0].bbox.unwrap();
            assert!(bbox[0] < bbox[2] && vector.layers[0].features.unwrap() > 0, "{vector:?}");
            vectors += 1;
        }
        for raster in &meta.rasters {
            let source = unpacked.join(&raster.sources[0]);
            let before = source::inspect(&source, "source").unwrap();
            let after = source::inspect(&raster_file(&shop.entry(), raster), "entry").unwrap();
            assert_eq!((before.width, before.height, before.pixel), (after.width, after.height, after.pixel));
            assert_eq!(before.geotransform, after.geotransform);
            assert_eq!(before.nodata, after.nodata);
            assert_eq!(before.palette, after.palette);
            assert_eq!(before.crs, after.crs);
            assert_eq!(after.crs.as_ref().and_then(|crs| crs.epsg), Some(3035));
            with_source_pixels(&source, |pixel, bytes| {
                with_pixel!(pixel, T => {
                    let pixels = gdal_pixels::<T>(&source);
                    assert_eq!(as_bytes(&pixels), bytes);
                    check_raster(&shop.entry(), raster, &pixels);
                });
            });
            rasters += 1;
        }
        let name = package.file_name().unwrap().to_str().unwrap();
        if name.starts_with("FTY") {
            let raster = &meta.rasters[0];
            assert!(raster.categorical);
            assert_eq!(raster.classes[0].name, "all non-forest areas");
            assert_eq!(raster.classes[1].color, Some([70, 158, 74, 255]));
        }
        if name.starts_with("IMC") {
            // Signed 16 bit without a colour table: the colours come from the .clr file.
            let raster = &meta.rasters[0];
            assert!(raster.palette.is_empty() && raster.categorical);
            assert_eq!((raster.classes[0].value, raster.classes[0].color), (1, Some([0, 102, 0, 255])));
            assert!(raster.classes[0].name.starts_with("99% decreased"));
        }
    }
    assert!(rasters > 0 && vectors > 0, "{rasters} real rasters and {vectors} real vector sets were found");
}
