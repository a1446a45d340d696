"""Everything that frames come from: bags, data sets as they are downloaded, folders of images, videos, cameras."""
